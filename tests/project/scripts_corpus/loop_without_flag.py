# expect: KD701 KD702 KD711 KD717
import tensorflow as tf
from tensorflow.keras import layers, models, optimizers

net = models.Sequential()
net.add(layers.Input((784,)))
net.add(layers.Dense(64, activation="relu"))
net.add(layers.Dropout(0.5))
net.add(layers.Dense(10))
opt = optimizers.SGD(0.1)
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@tf.function
def train_step(images, labels):
    with tf.GradientTape() as tape:
        predictions = net(images)
        loss = loss_fn(labels, predictions)
    gradients = tape.gradient(loss, net.trainable_variables)
    opt.apply_gradients(zip(gradients, net.trainable_variables))
    return loss


for images, labels in train_ds:
    train_step(images, labels)
