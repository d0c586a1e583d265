# expect: KD701 KD702 KD711
import numpy as np
from tensorflow.keras.layers import Dense, LeakyReLU
from tensorflow.keras.models import Sequential
from tensorflow.keras.optimizers import Adam

generator = Sequential([Dense(256), LeakyReLU(), Dense(784, activation="tanh")])
discriminator = Sequential([Dense(256), LeakyReLU(), Dense(1, activation="sigmoid")])
discriminator.compile(loss="binary_crossentropy", optimizer=Adam())
discriminator.trainable = False
gan = Sequential([generator, discriminator])
gan.compile(loss="binary_crossentropy", optimizer=Adam())
for step in range(1000):
    d_loss = discriminator.train_on_batch(images, np.ones((64, 1)))
    g_loss = gan.train_on_batch(noise, np.ones((64, 1)))
